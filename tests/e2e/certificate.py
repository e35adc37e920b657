# SPDX-License-Identifier: Apache-2.0
import ssl
import subprocess


class Certificate:
    """Of localhost, signed by itself."""

    def __init__(self, folder):
        self.path, self.key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.key, "-out", self.path], check=True, capture_output=True)
        # Of servers, and of clients by the ways that their libraries have.
        self.environment = {"TLS_CERT": str(self.path), "TLS_KEY": str(self.key),
                            **dict.fromkeys(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
                                             "NODE_EXTRA_CA_CERTS"], str(self.path))}

    def client(self):
        return ssl.create_default_context(cafile=self.path)
