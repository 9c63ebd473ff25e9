"""Everything SQL: tables, migrations, the inbox, lanes, profiles, workspaces and keys, on PostgreSQL and SQLite."""
