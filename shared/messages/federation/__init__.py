"""Contracts of the bridges: what they tell, and what their operators ask and do; a file for each."""

from shared.messages.federation.desk import *
from shared.messages.federation.events import *
