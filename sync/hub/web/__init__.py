"""How the hub is asked: the API, pages, lists, streams."""
