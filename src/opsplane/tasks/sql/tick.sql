-- One look at the running transactions: the time, their xids, and every xid given out until one of our own.
with seen as materialized (select pg_current_snapshot() as snapshot)
select
    now() as at,
    array(select pg_snapshot_xip(snapshot)::text::bigint) as running,
    pg_snapshot_xmax(snapshot)::text::bigint as next_xid,
    pg_current_xact_id()::text::bigint as own_xid
from seen
