"""What changes the view: scripts that Redis runs whole or not at all.

Each begins by comparing the epoch: a Redis that lost its data has none, and refuses all until the view is begun anew.
"""

from typing import Final

ARGUMENTS: Final = 12  # of one record, in the order that `apply` reads them

_REMOVE: Final = """
local function remove(p, id)
  local was = redis.call('HMGET', p..'clue:'..id, 'department', 'state', 'sector', 'severity', 'subject')
  if not was[1] then return end
  for i, name in ipairs({'department', 'state', 'sector', 'severity', 'subject'}) do
    redis.call('ZREM', p..'ix:'..name..':'..was[i], id)
  end
  redis.call('ZREM', p..'ix:all:', id)
  redis.call('ZREM', p..'due', id)
  redis.call('ZREM', p..'closed', id)
  local cell = was[1]..'|'..was[2]..'|'..was[3]..'|'..was[4]
  if redis.call('HINCRBY', p..'counts', cell, -1) <= 0 then redis.call('HDEL', p..'counts', cell) end
  redis.call('DEL', p..'clue:'..id)
end
"""

# ARGV: base, epoch, partition, first offset read without a hole, next offset, seconds to keep replies, records.
# Answers {word, position}: lost, gap (seek to the position), old (nothing new), done (position = what it was before).
APPLY: Final = (
    _REMOVE
    + """
local p = ARGV[1]
if redis.call('GET', p..'epoch') ~= ARGV[2] then return {'lost', 0} end
local at = tonumber(redis.call('HGET', p..'position', ARGV[3]) or '0')
if tonumber(ARGV[4]) > at then return {'gap', at} end
if tonumber(ARGV[5]) <= at then return {'old', at} end
local names = {'department', 'state', 'sector', 'severity', 'subject'}
local changed = {}
for i = 7, #ARGV, 12 do
  if tonumber(ARGV[i]) >= at then
    local id, json, raised, due = ARGV[i+1], ARGV[i+2], ARGV[i+8], ARGV[i+9]
    if json == 'gone' then
      remove(p, id)
      changed[#changed+1] = id
    elseif json ~= '' then
      remove(p, id)
      for n, name in ipairs(names) do
        redis.call('ZADD', p..'ix:'..name..':'..ARGV[i+2+n], raised, id)
      end
      redis.call('ZADD', p..'ix:all:', raised, id)
      redis.call('HINCRBY', p..'counts', ARGV[i+3]..'|'..ARGV[i+4]..'|'..ARGV[i+5]..'|'..ARGV[i+6], 1)
      if string.sub(due, 1, 1) == 'c' then
        redis.call('ZADD', p..'closed', string.sub(due, 2), id)
      elseif due ~= '' then
        redis.call('ZADD', p..'due', due, id)
      end
      redis.call('HSET', p..'clue:'..id, 'json', json, 'department', ARGV[i+3], 'state', ARGV[i+4],
        'sector', ARGV[i+5], 'severity', ARGV[i+6], 'subject', ARGV[i+7])
      changed[#changed+1] = id
    end
    if ARGV[i+10] ~= '' then
      redis.call('SET', p..'reply:'..ARGV[i+10], ARGV[i+11], 'EX', ARGV[6])
      redis.call('PUBLISH', p..'replies', ARGV[i+11])
    end
  end
end
redis.call('HSET', p..'position', ARGV[3], ARGV[5])
if #changed > 0 then redis.call('PUBLISH', p..'changes', cjson.encode(changed)) end
return {'done', at}
"""
)

# ARGV: base, epoch, closed before (ms), how many at most. Answers how many clues left the view; -1 when it is lost.
TRIM: Final = (
    _REMOVE
    + """
local p = ARGV[1]
if redis.call('GET', p..'epoch') ~= ARGV[2] then return -1 end
local ids = redis.call('ZRANGEBYSCORE', p..'closed', '-inf', ARGV[3], 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do remove(p, id) end
return #ids
"""
)

# ARGV: base, epoch. The view is complete: all that the log held when it was begun is in it.
COMPLETE: Final = """
if redis.call('GET', ARGV[1]..'epoch') ~= ARGV[2] then return 0 end
redis.call('DEL', ARGV[1]..'building')
return 1
"""

# ARGV: base, its pattern, an epoch to take if there is none. What Redis still holds without one cannot be trusted.
BEGIN: Final = """
local p = ARGV[1]
local epoch = redis.call('GET', p..'epoch')
if epoch then return {epoch, 0} end
local cursor = '0'
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', ARGV[2], 'COUNT', 1000)
  cursor = found[1]
  for _, key in ipairs(found[2]) do redis.call('DEL', key) end
until cursor == '0'
redis.call('SET', p..'epoch', ARGV[3])
redis.call('SET', p..'building', '1')
return {ARGV[3], 1}
"""
