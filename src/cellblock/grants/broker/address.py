"""Where a session finds the broker, and the variables that tell its programs so."""

from __future__ import annotations

HOST = "127.0.0.1"
PORT = 700  # below 1024: no program of the cell can have taken it, and none will look for it by chance
URL = f"http://{HOST}:{PORT}"
OWN_NAMES = (f"{HOST}:{PORT}", f"localhost:{PORT}")
CREDENTIALS_PATH = "/_cellblock/credentials"  # an underscore begins no bucket's name


def environment(*, token: str, region: str) -> dict[str, str]:
    """For the processes of a session with a role. The token opens the credentials; it is no credential and worth nothing elsewhere."""
    return {
        "AWS_ENDPOINT_URL_S3": URL,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": URL + CREDENTIALS_PATH,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
        "AWS_EC2_METADATA_DISABLED": "true",  # nothing answers there; SDKs would try for seconds
        "AWS_ALLOW_HTTP": "true",  # polars and others that refuse plain HTTP, which does not leave the machine here
    }
