-- End a session: every refresh token that came from one login.
delete from refresh_token where family = %(family)s
