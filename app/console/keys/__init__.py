"""REST API keys of a workspace: the model of a family of pages."""
