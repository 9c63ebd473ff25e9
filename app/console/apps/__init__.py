"""Apps of a workspace, with which SDKs send."""
