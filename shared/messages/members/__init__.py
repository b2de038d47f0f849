"""Contracts of the members service: people, accounts, posts, membership; a file for each noun."""

from shared.messages.members.accounts import *
from shared.messages.members.crossings import *
from shared.messages.members.entering import *
from shared.messages.members.events import *
from shared.messages.members.founding import *
from shared.messages.members.graduation import *
from shared.messages.members.joining import *
from shared.messages.members.letters import *
from shared.messages.members.lists import *
from shared.messages.members.posts import *
from shared.messages.members.records import *
from shared.messages.members.retentions import *
