"""Trimming a stream in one step with the look at its groups: what a group has not read, or not finished, is never cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from opsplane.events.broker import Broker
from opsplane.events.streams import number

AT_ONCE = 10_000

# KEYS[1]: the stream. ARGV: cut below this id for age, the most entries, evict (1/0), do it (1/0), most at once.
# A group needs all from `floor` on: the last entry it was given (kept though it was read: there is no id just above),
# or the oldest it has not finished. Ids are compared as texts, as Lua's numbers hold no 64 bits.
_TRIM = """
local function less(a, b)
  local am, as = string.match(a, '^(%d+)%-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)%-(%d+)$')
  if am ~= bm then if #am ~= #bm then return #am < #bm end return am < bm end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
local key, old, most, evict, act, batch = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1', tonumber(ARGV[5])
if redis.call('EXISTS', key) == 0 then return {0, 0, 0, 0, '', {}} end
local floor, groups = nil, {}
for _, facts in ipairs(redis.call('XINFO', 'GROUPS', key)) do
  local name, needs
  for place = 1, #facts, 2 do
    if facts[place] == 'name' then name = facts[place + 1] end
    if facts[place] == 'last-delivered-id' then needs = facts[place + 1] end
  end
  local pending = redis.call('XPENDING', key, name)
  if pending[1] > 0 and less(pending[2], needs) then needs = pending[2] end
  groups[#groups + 1] = {name, needs}
  if not floor or less(needs, floor) then floor = needs end
end
local function cut(id)
  if id == '0-0' then return 0 end
  if not act then return #redis.call('XRANGE', key, '-', '(' .. id, 'COUNT', batch) end
  local count = redis.call('XTRIM', key, 'MINID', '~', id, 'LIMIT', batch)
  if count < batch then count = count + redis.call('XTRIM', key, 'MINID', '=', id) end
  return count
end
local bound = old
if floor and less(floor, old) then bound = floor end
local aged, sized, evicted = cut(bound), 0, 0
local excess = redis.call('XLEN', key) - most
if not act then excess = excess - aged end
if excess > 0 and floor ~= '0-0' then
  local wanted, last = math.min(excess, batch), floor and ('(' .. floor) or '+'
  local read = redis.call('XRANGE', key, act and '-' or bound, last, 'COUNT', wanted + 1)
  sized = math.min(#read, wanted)
  if act and #read > wanted then redis.call('XTRIM', key, 'MINID', '=', read[#read][1])
  elseif act and floor then redis.call('XTRIM', key, 'MINID', '=', floor)
  elseif act then redis.call('XTRIM', key, 'MAXLEN', '=', redis.call('XLEN', key) - sized) end
  excess = excess - sized
end
if excess > 0 and sized < batch and evict == '1' then
  evicted = math.min(excess, batch)
  if act then evicted = redis.call('XTRIM', key, 'MAXLEN', '=', redis.call('XLEN', key) - evicted) end
end
local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
return {aged, sized, evicted, redis.call('XLEN', key), first[1] and first[1][1] or '', groups}
"""


class Trimmed(NamedTuple):
    """What was cut (or would be): for its age, for the stream's size though in its retention, and although unread.

    `length` and `first` (the oldest entry's id) are those afterwards; `needs` says for each group from which id on it
    needs the stream.
    """

    aged: int
    sized: int
    evicted: int
    length: int
    first: str
    needs: dict[str, str]

    @property
    def total(self) -> int:
        """All of it."""
        return self.aged + self.sized + self.evicted

    @property
    def nothing_to_spare(self) -> bool:
        """Whether some group needs all that is left."""
        return bool(self.needs) and number(self.first or "0-0") >= min(map(number, self.needs.values()))

    def robbed(self) -> list[str]:
        """The groups whose unread entries were cut."""
        if not self.evicted or not self.first:
            return []
        return sorted(group for group, needed in self.needs.items() if number(needed) < number(self.first))


async def trim(
    broker: Broker, stream: str, older_than: int, most: int, *, evict: bool, act: bool = True
) -> Trimmed:
    """Cut what is older than `older_than` (Unix milliseconds) and what exceeds `most`, at most 10,000 entries of each.

    Needs the right to run scripts. With `act=False` nothing is cut, only counted.
    """
    given = (f"{max(0, older_than)}-0", most, int(evict), int(act), AT_ONCE)
    reply: Sequence[Any] = await broker.call("EVAL", _TRIM, "1", stream, *map(str, given))
    aged, sized, evicted, length, first, groups = reply
    needs = {name.decode(errors="replace"): needed.decode() for name, needed in groups}
    return Trimmed(aged, sized, evicted, length, first.decode(), needs)
