"""Linux isolation: policy, system-call filter, cgroups, the template process; knows no AWS."""
