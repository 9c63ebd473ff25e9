"""The first page: the workspaces of an account."""
