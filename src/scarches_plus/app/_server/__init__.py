"""Serve the page and the HTTP API; needs starlette, uvicorn and python-multipart (``scarches-plus[app]``)."""
