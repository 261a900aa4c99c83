-- What the transport does in Redis, as one step each. ARGV: an operation's name, how many arguments
-- it has, the arguments; then the next operation. The answer is a list with each one's answer.
--
-- sri:org:{org}:jobs            list of envelopes, taken from the right
-- sri:ring                      list of the organisations that have some
-- sri:jobs                      hash: where each job that is under way stands, see below
-- sri:worker:{id}:jobs          list of the envelopes that the worker has
-- sri:worker:{id}:heartbeat     30 seconds; sri:workers: the set of their ids
-- sri:results                   stream of reports, one JSON field each
-- sri:job:{id}:status           JSON, 30 days; {id}:log: lines, 1 day
-- sri:job:{id}:begun, :cancel   the irrevocable step comes next; its end is asked for
-- sri:org:{org}:done            channel
-- sri:sessions:{org}:{user}:{provider}  encrypted, 7 days; sri:keys:revoked: a set of key ids
--
-- A job stands in sri:jobs from its giving until its report is taken in: phase, lease,
-- organisation, worker and the mark of the call that began it, a line each. Phases: given,
-- started, ended. What does not stand there as given, under its lease, cannot be started.

local call = redis.call
local KEPT, LOG_KEPT, LOG_MOST = 30 * 86400, 86400, 2000
local RING, JOBS, RESULTS, WORKERS = 'sri:ring', 'sri:jobs', 'sri:results', 'sri:workers'

local function list_of(org) return 'sri:org:' .. org .. ':jobs' end
local function held_by(worker) return 'sri:worker:' .. worker .. ':jobs' end
local function heartbeat_of(worker) return 'sri:worker:' .. worker .. ':heartbeat' end
local function key(job, what) return 'sri:job:' .. job .. ':' .. what end

local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function stand(job)
  local text = call('HGET', JOBS, job)
  if not text then return {} end
  local phase, lease, org, worker, mark = text:match('^(%a+)\n(.-)\n(.-)\n(.-)\n(.*)$')
  return {phase = phase, lease = lease, org = org, worker = worker, mark = mark}
end

local function set_stand(job, phase, lease, org, worker, mark)
  call('HSET', JOBS, job, table.concat({phase, lease, org, worker or '', mark or ''}, '\n'))
end

local function decoded(text)
  local is_read, value = pcall(cjson.decode, text)
  return is_read and type(value) == 'table' and value or {}
end

local function text_in(value) return type(value) == 'string' and value or '' end

local function status_of(job) return decoded(call('GET', key(job, 'status')) or '') end

local function set_status(job, before, changes)
  before.jobId = job
  for name, value in pairs(changes) do before[name] = value end
  call('SET', key(job, 'status'), cjson.encode(before), 'EX', KEPT)
end

local function report(text) call('XADD', RESULTS, '*', 'report', text) end

local function told(kind, envelope, lease, worker, message, begun)
  report(cjson.encode({
    kind = kind, jobId = text_in(envelope.jobId), orgId = text_in(envelope.orgId),
    attempt = type(envelope.attempt) == 'number' and envelope.attempt or 0,
    lease = lease, worker = worker, message = message, begun = begun, finishedAt = now(),
  }))
end

local function forget_marks(job) call('DEL', key(job, 'begun'), key(job, 'cancel')) end

-- The envelope has left its worker without an end of its own.
local function put_down(kind, raw, worker, message)
  local envelope = decoded(raw)
  local job, lease = text_in(envelope.jobId), text_in(envelope.lease)
  local at = stand(job)
  local is_its = at.phase == 'given' or (at.phase == 'started' and at.worker == worker)
  if at.lease ~= lease or not is_its then return false end
  local begun = call('EXISTS', key(job, 'begun')) == 1
  set_stand(job, 'ended', lease, at.org)
  if begun then kind = 'lost' end
  if kind ~= 'returned' then forget_marks(job) end
  told(kind, envelope, lease, worker, message, begun)
  return true
end

local function lose_all(worker)
  local count = 0
  for _, raw in ipairs(call('LRANGE', held_by(worker), 0, -1)) do
    if put_down('lost', raw, worker, '') then count = count + 1 end
  end
  call('DEL', held_by(worker))
  return count
end

local function is_held(job)
  for _, worker in ipairs(call('SMEMBERS', WORKERS)) do
    for _, raw in ipairs(call('LRANGE', held_by(worker), 0, -1)) do
      if raw:find(job, 1, true) and decoded(raw).jobId == job then return true end
    end
  end
  return false
end

local function is_known(job)
  local at = stand(job)
  if at.phase == 'given' then
    return call('EXISTS', list_of(at.org)) == 1 or is_held(job)
  elseif at.phase == 'started' then
    return call('EXISTS', held_by(at.worker)) == 1
  end
  return at.phase == 'ended' and call('XLEN', RESULTS) > 0
end

local operations = {}

function operations.give(end_, raw, job, org, lease, attempt)
  if stand(job).lease == lease and is_known(job) then return 0 end
  local before = status_of(job)
  if before.lease == lease and before.status ~= 'queued' then return 0 end
  set_stand(job, 'given', lease, org)
  call(end_, list_of(org), raw)
  if not call('LPOS', RING, org) then call('RPUSH', RING, org) end
  set_status(job, {}, {
    orgId = org, status = 'queued', attempt = tonumber(attempt), lease = lease, queuedAt = now(),
  })
  return 1
end

function operations.take(worker, most, alive_for)
  call('SADD', WORKERS, worker)
  -- What a worker took that nobody sees alive would be lost with it.
  call('SET', heartbeat_of(worker), '{}', 'PX', alive_for, 'NX')
  local taken = {}
  while #taken < tonumber(most) do
    local org = call('LPOP', RING)
    if not org then break end
    local raw = call('RPOP', list_of(org))
    if raw then
      call('LPUSH', held_by(worker), raw)
      taken[#taken + 1] = raw
      if call('EXISTS', list_of(org)) == 1 then call('RPUSH', RING, org) end
    end
  end
  return taken
end

function operations.started(worker, job, org, lease, mark, text)
  local at = stand(job)
  if at.lease ~= lease or at.org ~= org then return 0 end
  if at.phase == 'started' then return at.mark == mark and 1 or 0 end
  if at.phase ~= 'given' then return 0 end
  set_stand(job, 'started', lease, org, worker, mark)
  call('DEL', key(job, 'begun'))
  set_status(job, status_of(job), {status = 'running', startedAt = now(), worker = worker})
  report(text)
  return 1
end

function operations.begun(worker, job, lease, text)
  local at = stand(job)
  if at.phase ~= 'started' or at.lease ~= lease or at.worker ~= worker then return 0 end
  call('SET', key(job, 'begun'), worker, 'EX', KEPT)
  report(text)
  return 1
end

local function end_with(job, org, status, message, done)
  local before = status_of(job)
  if before.status == status then return end
  set_status(job, before, {orgId = org, status = status, message = message, finishedAt = now()})
  call('PUBLISH', 'sri:org:' .. org .. ':done', done)
end

-- `done` is empty where the control plane has yet to say whether that is the end.
function operations.finish(worker, raw, job, lease, text, status, message, done)
  if call('LREM', held_by(worker), 1, raw) == 0 then return 0 end
  local at = stand(job)
  if at.lease == lease and at.worker == worker then
    set_stand(job, 'ended', lease, at.org)
    forget_marks(job)
    if done ~= '' then end_with(job, at.org, status, message, done) end
  end
  report(text)
  return 1
end

function operations.returned(worker, raw)
  if call('LREM', held_by(worker), 1, raw) == 0 then return 0 end
  return put_down('returned', raw, worker, '') and 1 or 0
end

-- A replayed one's own job goes on: `is_replay` takes the lease out of the report.
function operations.refused(worker, raw, reason, is_replay)
  if call('LREM', held_by(worker), 1, raw) == 0 then return 0 end
  if is_replay == '1' or not put_down('refused', raw, worker, reason) then
    told('refused', decoded(raw), '', worker, reason, false)
  end
  return 1
end

function operations.enter(worker)
  call('SADD', WORKERS, worker)
  return lose_all(worker)
end

function operations.leave(worker)
  call('DEL', heartbeat_of(worker))
  if call('EXISTS', held_by(worker)) == 0 then call('SREM', WORKERS, worker) end
  return 1
end

function operations.reap()
  local count = 0
  for _, worker in ipairs(call('SMEMBERS', WORKERS)) do
    if call('EXISTS', heartbeat_of(worker)) == 0 then
      count = count + lose_all(worker)
      call('SREM', WORKERS, worker)
    end
  end
  return count
end

function operations.withdraw(job, org)
  local at = stand(job)
  if at.phase ~= 'given' or at.org ~= org then return 0 end
  for _, raw in ipairs(call('LRANGE', list_of(org), 0, -1)) do
    if raw:find(job, 1, true) and decoded(raw).jobId == job then
      call('LREM', list_of(org), 1, raw)
      call('HDEL', JOBS, job)
      return 1
    end
  end
  return 0
end

function operations.knows(...)
  local found = {}
  for _, job in ipairs({...}) do
    if is_known(job) then found[#found + 1] = job end
  end
  return found
end

function operations.ended(job, org, lease, status, message, done)
  local at = stand(job)
  if at.phase and at.lease ~= lease and lease ~= '' then return 0 end
  if at.lease == lease then call('HDEL', JOBS, job) end
  end_with(job, org, status, message, done)
  return 1
end

function operations.acknowledge(group, ...)
  for _, id in ipairs({...}) do
    local entry = call('XRANGE', RESULTS, id, id)[1]
    local read = entry and decoded(entry[2][2]) or {}
    local job = text_in(read.jobId)
    local at = stand(job)
    local is_end = read.kind ~= 'started' and at.phase == 'ended' and at.lease == read.lease
    if is_end then call('HDEL', JOBS, job) end
    call('XACK', RESULTS, group, id)
    call('XDEL', RESULTS, id)
  end
  return 1
end

-- Those over the most are not kept: a reader's count of lines stays true.
function operations.log(job, ...)
  local lines, list = {...}, key(job, 'log')
  local room = LOG_MOST - call('LLEN', list)
  for number, line in ipairs(lines) do
    if number <= room then call('RPUSH', list, line) end
  end
  call('EXPIRE', list, LOG_KEPT)
  return 1
end

local answers, next_ = {}, 1
while next_ <= #ARGV do
  local first, count = next_ + 2, tonumber(ARGV[next_ + 1])
  answers[#answers + 1] = operations[ARGV[next_]](unpack(ARGV, first, first + count - 1))
  next_ = first + count
end
return answers
