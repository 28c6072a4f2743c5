"""The REST API, version 10: a table of endpoints and the way every call goes."""
