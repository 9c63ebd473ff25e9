"""The way of a request into the inbox: quota, contract, backlog, one commit, the bell."""
