"""The shapes that several operations share, with the API's limits and the few that are wider here."""

from __future__ import annotations

from cellblock.wire.shapes import Boolean, List, Map, Member, Structure, Text, Timestamp

# Wider than the API: hyphens in names and ids, because the guide's examples have them.
INTERPRETER_NAME = Text(pattern=r"[a-zA-Z][a-zA-Z0-9_-]{0,47}")
INTERPRETER_ID = Text(pattern=r"(aws\.codeinterpreter\.v1|[a-zA-Z][a-zA-Z0-9_-]{0,47}-[a-zA-Z0-9]{10})")
SESSION_ID = Text(pattern=r"[0-9a-zA-Z-]{1,40}")
# The API leaves this one open; closed here so that nothing but a plain name reaches the service. An unknown one is not found.
INTERPRETER_IDENTIFIER = Text(pattern=r"[a-zA-Z][a-zA-Z0-9._-]{0,99}")

INTERPRETER_ARN = Text(
    pattern=r"arn:aws(-[^:]+)?:bedrock-agentcore:[a-z0-9-]+:(aws|[0-9]{12}):code-interpreter(-custom)?"
    r"/(aws\.codeinterpreter\.v1|[a-zA-Z][a-zA-Z0-9_-]{0,47}-[a-zA-Z0-9]{10})"
)
INTERPRETER_STATUS = Text(enum=("CREATING", "CREATE_FAILED", "READY", "DELETING", "DELETE_FAILED", "DELETED"))
SESSION_NAME = Text(min=1, max=100)
SESSION_STATUS = Text(enum=("READY", "TERMINATED"))
DESCRIPTION = Text(min=1, max=4096)
ROLE_ARN = Text(min=1, max=2048, pattern=r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+")
CLIENT_TOKEN = Text(min=33, max=256, pattern=r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}")
NEXT_TOKEN = Text(min=1, max=2048, pattern=r"\S*")
LONG_TEXT = Text(max=100_000_000)

TAGS = Map(
    key=Text(min=1, max=128, pattern=r"[a-zA-Z0-9\s._:/=+@-]*"),
    value=Text(max=256, pattern=r"[a-zA-Z0-9\s._:/=+@-]*"),
    max=50,
)

VPC_CONFIG = Structure(
    (
        Member("securityGroups", List(Text(pattern=r"sg-[0-9a-zA-Z]{8,17}"), min=1, max=16), required=True),
        Member("subnets", List(Text(pattern=r"subnet-[0-9a-zA-Z]{8,17}"), min=1, max=16), required=True),
        Member("requireServiceS3Endpoint", Boolean()),
    )
)
NETWORK_CONFIGURATION = Structure(
    (
        Member("networkMode", Text(enum=("PUBLIC", "SANDBOX", "VPC")), required=True),
        Member("vpcConfig", VPC_CONFIG),
    )
)

_SECRET_ARN = Text(pattern=r"arn:aws(-[a-z-]+)?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[a-zA-Z0-9/_+=.@-]+")
_SECRETS_MANAGER = Structure((Member("secretArn", _SECRET_ARN, required=True),))
_CERTIFICATE_LOCATION = Structure((Member("secretsManager", _SECRETS_MANAGER),), union=True)
CERTIFICATES = List(Structure((Member("location", _CERTIFICATE_LOCATION, required=True),)), min=1, max=200)

_MOUNT_PATH = Text(min=6, max=200, pattern=r"/mnt/[a-zA-Z0-9._-]+/?")


def _file_system(access_point: Text, file_system: Text) -> Structure:
    return Structure(
        (
            Member("accessPointArn", access_point, required=True),
            Member("mountPath", _MOUNT_PATH, required=True),
            Member("fileSystemArn", file_system, required=True),
        )
    )


_S3_FILES = _file_system(
    Text(max=256, pattern=r"arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/access-point/fsap-[0-9a-f]{17,40}"),
    Text(max=256, pattern=r"arn:aws[-a-z]*:s3files:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]{17,40}"),
)
_EFS = _file_system(
    Text(max=128, pattern=r"arn:aws[-a-z]*:elasticfilesystem:[0-9a-z-:]+:access-point/fsap-[0-9a-f]{8,40}"),
    Text(max=256, pattern=r"arn:aws[-a-z]*:elasticfilesystem:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]{8,40}"),
)
FILE_SYSTEMS = List(Structure((Member("s3FilesConfiguration", _S3_FILES), Member("efsConfiguration", _EFS)), union=True), max=10)

TRACE = (
    Member("traceId", Text(max=1024), location="header", wire_name="X-Amzn-Trace-Id", field="trace_id"),
    Member("traceParent", Text(max=1024), location="header", wire_name="traceparent", field="trace_parent"),
)
INTERPRETER_IN_PATH = Member("codeInterpreterIdentifier", INTERPRETER_IDENTIFIER, required=True, location="uri", field="interpreter_id")
INTERPRETER_ID_IN_PATH = Member("codeInterpreterId", INTERPRETER_ID, required=True, location="uri", field="interpreter_id")
SESSION_IN_QUERY = Member("sessionId", SESSION_ID, required=True, location="query", field="session_id")
CLIENT_TOKEN_IN_BODY = Member("clientToken", CLIENT_TOKEN, field="client_token")
CERTIFICATES_IN_BODY = Member("certificates", CERTIFICATES, field="certificates")
FILE_SYSTEMS_IN_BODY = Member("filesystemConfigurations", FILE_SYSTEMS, field="filesystems")

INTERPRETER_IDENTIFIER_OUT = Member("codeInterpreterIdentifier", Text(), required=True)
SESSION_ID_OUT = Member("sessionId", SESSION_ID, required=True)
CREATED_AT = Member("createdAt", Timestamp(), required=True)
UPDATED_AT = Member("lastUpdatedAt", Timestamp(), required=True)
