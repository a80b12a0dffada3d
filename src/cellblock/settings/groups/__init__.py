"""The settings by what they are about; a module holds one group, and a group's field is a setting."""
