// The gateway's rules in containers, as harness/runtimes/local/gateway.py has them for processes: a request waits for an
// instance that accepts it, and is sent again with its key after a broken connection, within the time limit. nginx sends each
// copy to one instance only (proxy_next_upstream off): which copies were sent and lost is known here alone.

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 160;

async function forward(r) {
    const until = Date.now() + Number(r.variables.limit_ms);
    const reads = r.method === 'GET' || r.method === 'HEAD';
    let pause = FIRST_PAUSE_MS;
    let sent = false;
    for (;;) {
        const reply = await r.subrequest('/try', {method: r.method, body: ''});
        if (reply.status !== 502 && reply.status !== 504) {
            // After a lost copy, a rejection of this copy alone says nothing about the request.
            if (!sent || reply.headersOut['Wdm-Final'] !== 'no') {
                return pass(r, reply);
            }
        } else if (Number(reply.variables.upstream_bytes_sent) > 0) {
            sent = true;
        }
        if (Date.now() + pause >= until) {
            break;
        }
        await new Promise((resolve) => setTimeout(resolve, pause));
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
    const service = r.variables.service;
    if (sent && !reads) {
        return fail(r, 502, `the ${service} service did not answer: the outcome is unknown`);
    }
    const nothing = r.variables.statuses === 'course' ? 400 : 424;
    return fail(r, nothing, `the ${service} service accepts no connection: nothing happened`);
}

function pass(r, reply) {
    ['Content-Type', 'Wdm-Final'].forEach((name) => {
        if (reply.headersOut[name]) {
            r.headersOut[name] = reply.headersOut[name];
        }
    });
    r.return(reply.status, reply.responseBuffer || '');
}

function fail(r, status, error) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(status, JSON.stringify({error}));
}

export default {forward};
