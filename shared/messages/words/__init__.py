"""The codes of the contracts, each with its words in Chinese and English; a file for each service.

Contracts, rules, pages, sheets, letters and documents draw from here. Answers are typed with these
codes. What is asked for stays text whose choices are documented from here (`limits`), since an unknown
code is refused item by item, in the words of its rule; and events stay text, since they are read from
publishers of another version.
"""

from shared.messages.words.audit import *
from shared.messages.words.code import *
from shared.messages.words.federation import *
from shared.messages.words.members import *
from shared.messages.words.orgs import *
from shared.messages.words.reasons import *
from shared.messages.words.transfers import *
