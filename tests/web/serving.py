"""A plain static server of a page, for the tests in browsers."""

import functools
import http.server
import threading


class PlainHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Serving:
    """A folder on a plain static server."""

    def __init__(self, folder):
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(PlainHandler, directory=str(folder))
        )
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
