"""Generated from protos/federation/wire/v1 and committed; `make protos` renews it, no hand edits it."""
