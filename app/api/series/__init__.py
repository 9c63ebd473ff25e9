"""Series: how much happened on each day and in each hour. Endpoints, and the models of answers."""
