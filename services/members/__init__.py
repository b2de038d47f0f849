"""The members service: people, accounts, membership."""
