"""The overview of a workspace: one page that tells the truth."""
