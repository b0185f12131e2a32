-- Workers that call over HTTP have no session whose lock could tell that they live: theirs is a lease of time, until which
-- they must have called. All three are null for workers of the installation, whose lease is an advisory lock.
alter table worker add column owner text;                        -- the subject of the token that registered it
alter table worker add column lease_seconds double precision;
alter table worker add column lease_until timestamptz;
alter table worker add constraint worker_lease check ((owner is null) = (lease_until is null) and (owner is null) = (lease_seconds is null));
