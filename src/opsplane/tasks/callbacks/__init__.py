"""Completion callbacks: a finished task is told to its `callback_url`, signed, at least once, never inside our network.

noted (a trigger, in the transaction that finishes the task) → taken by a sender → its address checked → signed → posted.
"""

from __future__ import annotations

from opsplane.tasks.callbacks.book import Callback, CallbackBook, NoCallback
from opsplane.tasks.callbacks.policy import PUBLIC_ONLY, CallbackPolicy, CallbackRefused

__all__ = ["PUBLIC_ONLY", "Callback", "CallbackBook", "CallbackPolicy", "CallbackRefused", "NoCallback"]
