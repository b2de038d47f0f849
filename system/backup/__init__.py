"""Backup and restore: pgBackRest keeps base backups and WAL; what is in them, and how it comes back, is here.

`tool` asks pgBackRest, `manifest` says what a database holds and whether another holds it, too,
`making` makes a backup, `server` runs a restored cluster where nobody else reaches it, `restoring` brings
databases back, `keys` keeps the keys apart (docs/adr/0014).
"""
