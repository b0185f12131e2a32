-- Know of an order, once.
insert into reservation (order_id, state) values (%(order_id)s, 'new') on conflict do nothing
