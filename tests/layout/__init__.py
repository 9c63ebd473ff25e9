"""The layout of the code: who may import what, and that docs/architecture.md says so."""
