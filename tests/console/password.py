"""A password, and its hash: to make one takes long on purpose."""

from app.services import passwords

PASSWORD = "correct horse battery"


#: Each costs scrypt once for the whole module.
HASHED = passwords.hashed(PASSWORD)
