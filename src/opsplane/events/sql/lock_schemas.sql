-- One at a time changes the registry of schemas.
lock table schema_version in share row exclusive mode
