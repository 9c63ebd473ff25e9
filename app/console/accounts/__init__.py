"""Accounts of the installation, for those who may do everything everywhere; and everybody's own password."""
