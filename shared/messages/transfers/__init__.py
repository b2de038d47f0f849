"""Contracts of the transfers service: the saga and what stands beside it; a file for each noun."""

from shared.messages.transfers.adviser import *
from shared.messages.transfers.batches import *
from shared.messages.transfers.bulk import *
from shared.messages.transfers.crossings import *
from shared.messages.transfers.events import *
from shared.messages.transfers.figures import *
from shared.messages.transfers.notices import *
from shared.messages.transfers.policies import *
from shared.messages.transfers.queue import *
from shared.messages.transfers.remarks import *
from shared.messages.transfers.saga import *
from shared.messages.transfers.work import *
