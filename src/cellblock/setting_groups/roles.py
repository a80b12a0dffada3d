"""Settings: execution roles, storage, certificates and mounts."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.setting_groups.entry import Group, setting

PATH_FORM = r"(/.*)?"
PATH_HELP = "an absolute path or nothing"


@dataclass(frozen=True, kw_only=True)
class Roles(Group):
    """Roles, storage and certificates"""

    grants_file: str = setting(
        "", "TOML file with the roles and file systems that interpreters may have", form=PATH_FORM, form_help=PATH_HELP, default_help="none"
    )
    secrets_dir: str = setting(
        "", "directory with the certificates that sessions may trust, by ARN", form=PATH_FORM, form_help=PATH_HELP, default_help="none"
    )
