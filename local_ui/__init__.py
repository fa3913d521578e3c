"""The site's web page and its JSON API."""
