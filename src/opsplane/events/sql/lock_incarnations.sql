-- One process at a time decides about the broker's incarnation.
lock table broker_incarnation in share row exclusive mode
