"""Contracts of the orgs service: the tree and who administers it; a file for each noun."""

from shared.messages.orgs.events import *
from shared.messages.orgs.history import *
from shared.messages.orgs.migration import *
from shared.messages.orgs.naming import *
from shared.messages.orgs.search import *
from shared.messages.orgs.tree import *
