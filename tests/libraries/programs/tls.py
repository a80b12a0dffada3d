"""A handshake over loopback with a certificate made here, and an HTTP server behind it."""
import http.server
import ssl
import subprocess
import tempfile
import threading
import urllib.request

with tempfile.TemporaryDirectory() as place:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{place}/key", "-out", f"{place}/cert", "-days", "1"]
    subprocess.run([*command, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    server = http.server.ThreadingHTTPServer(("localhost", 0), http.server.BaseHTTPRequestHandler)
    server.RequestHandlerClass.do_GET = lambda self: (self.send_response(204), self.end_headers())
    server.RequestHandlerClass.log_message = lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{place}/cert", f"{place}/key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trusting = ssl.create_default_context(cafile=f"{place}/cert")
    for _ in range(3):
        with urllib.request.urlopen(f"https://localhost:{server.server_address[1]}/", context=trusting, timeout=30) as answer:
            assert answer.status == 204
    try:
        urllib.request.urlopen(f"https://localhost:{server.server_address[1]}/", timeout=30)
        raise SystemExit("a certificate that nobody signed was trusted")
    except OSError as error:
        assert "certificate" in str(error).lower()
    server.shutdown()
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 0
print("fine")
