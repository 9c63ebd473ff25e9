"""The API's JSON on one side, the domain's commands on the other. Pure: no I/O, no clock."""
