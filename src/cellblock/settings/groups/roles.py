"""Settings: execution roles, storage, certificates and mounts."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.settings.groups.entry import Group, setting

PATH_FORM = r"(/.*)?"
URL_FORM = r"(https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/?)?"
URL_HELP = "a URL of http or https without a path, or nothing"
PATH_HELP = "an absolute path or nothing"


@dataclass(frozen=True, kw_only=True)
class Roles(Group):
    """Roles, storage and certificates"""

    grants_file: str = setting(
        "", "TOML file with the roles and file systems that interpreters may have", form=PATH_FORM, form_help=PATH_HELP, default_help="none"
    )
    s3_endpoint: str = setting(
        "", "URL of the S3 that sessions with a role reach", form=URL_FORM, form_help=URL_HELP, default_help="none: no session reaches S3"
    )
    sts_endpoint: str = setting(
        "", "URL of the STS at which roles are assumed", form=URL_FORM, form_help=URL_HELP, default_help="AWS's own, of the region"
    )
    credentials_seconds: int = setting(
        3600, "lifetime of the credentials that a session gets; they are renewed", unit="s", minimum=60, maximum=43_200
    )
    secrets_dir: str = setting(
        "", "directory with the certificates that sessions may trust, by ARN", form=PATH_FORM, form_help=PATH_HELP, default_help="none"
    )
