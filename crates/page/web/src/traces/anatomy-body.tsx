// The bars, the table that adds up, the claims, and the placement.

import { HUE, colour, ink } from "../model/theme";
import { clock } from "../model/time";
import { text } from "../model/units";
import { type Route, link } from "../shell/route";
import { useTheme } from "../shell/theme";
import { type Anatomy, type Claim, type Client, type Part, addsUp, ticks } from "./anatomy";

const ns = (nanos: number | undefined) => text(nanos, "ns");

/** A share in per cent; what is too small to matter says so. */
const percent = (part: number, whole: number) => (part > 0 && part / whole < 0.001 ? "< 0.1 %" : `${((part / whole) * 100).toFixed(1)} %`);

export function Body({ anatomy, id, route }: { anatomy: Anatomy; id: string; route: Route }) {
  return (
    <div class="anatomy-main">
      <div class="card">
        <Head anatomy={anatomy} id={id} route={route} />
        <FirstToken anatomy={anatomy} />
        <Whole anatomy={anatomy} />
      </div>
      <div class="anatomy-tables">
        <Parts anatomy={anatomy} />
        <div class="anatomy-side">
          <Claims anatomy={anatomy} />
          <Placement anatomy={anatomy} />
        </div>
      </div>
    </div>
  );
}

function Head({ anatomy, id, route }: { anatomy: Anatomy; id: string; route: Route }) {
  const at = Number(anatomy.received / 1000n) / 1e6;
  return (
    <div class="anatomy-head">
      <p class="hero" data-ttft={anatomy.ttft}>
        {ns(anatomy.ttft)} <span>to the first token, measured by the {anatomy.source}</span>
      </p>
      <p class="dim">
        received {clock(at, { date: true, millis: true })} · {anatomy.outcome || "ended"} after {ns(anatomy.total)}
        {anatomy.tokens !== undefined && ` · ${anatomy.tokens} tokens`}
        {anatomy.tpot !== undefined && ` · ${ns(anatomy.tpot)} a token`}
      </p>
      <p class="facts">
        {anatomy.facts.map(([name, value]) => <span><span class="dim">{name}</span> {value}</span>)}
        <a href={link(route, { view: "trace", id, chosen: {} })}>waterfall</a>
      </p>
    </div>
  );
}

/** A part wide enough to carry its name. */
const NAMED = 0.09;

function FirstToken({ anatomy }: { anatomy: Anatomy }) {
  const theme = useTheme();
  const { parts, ttft, claims } = anatomy;
  const share = (nanos: number) => (nanos / ttft) * 100;
  return (
    <figure class="lanes">
      <figcaption>What the client waited for the first token</figcaption>
      <div class="lane">
        <span class="lane-name">Candor</span>
        <div class="lane-track">
          {parts.map((part) => (
            <div
              class="segment"
              title={`${part.name}: ${ns(part.nanos)}`}
              style={{ left: `${share(part.offset)}%`, width: `${share(part.nanos)}%`, background: colour(part.colour, theme), color: ink(colour(part.colour, theme)) }}
            >
              {part.nanos / ttft > NAMED && <span><b>{part.name}</b> {ns(part.nanos)}</span>}
            </div>
          ))}
        </div>
      </div>
      {anatomy.client && <ClientLane client={anatomy.client} ttft={ttft} />}
      {claims.map((claim) => <ClaimLane claim={claim} ttft={ttft} />)}
      <Scale whole={ttft} />
      <Key parts={parts} />
    </figure>
  );
}

/** The referee: what Candor measured should be what this says, but for the way between the two. */
function ClientLane({ client, ttft }: { client: Client; ttft: number }) {
  const left = Math.max(0, (client.offset / ttft) * 100);
  const right = Math.min(100, ((client.offset + client.ttft) / ttft) * 100);
  const apart = client.ttft - ttft;
  return (
    <div class="lane">
      <span class="lane-name">client <span class="dim">waited</span></span>
      <div class="lane-track">
        <div class="client-bar" data-client={client.ttft} style={{ left: `${left}%`, width: `${Math.max(0, right - left)}%` }} title={`The client’s own stopwatch: ${ns(client.ttft)}, sent ${ns(-client.offset)} before it was received here`}>
          <span>{ns(client.ttft)}, {ns(Math.abs(apart))} {apart < 0 ? "less" : "more"} than measured here</span>
        </div>
      </div>
    </div>
  );
}

function ClaimLane({ claim, ttft }: { claim: Claim; ttft: number }) {
  const left = Math.max(0, (claim.offset / ttft) * 100);
  const width = Math.min(100 - left, (claim.ttft / ttft) * 100);
  return (
    <div class="lane">
      <span class="lane-name" title={claim.who}>{claim.role} engine <span class="dim">claims</span></span>
      <div class="lane-track">
        <div class="claim-bar" style={{ left: `${left}%`, width: `${width}%` }} title={`${claim.who} claims a TTFT of ${ns(claim.ttft)}`}>
          <span>{ns(claim.ttft)}</span>
        </div>
      </div>
    </div>
  );
}

function Scale({ whole }: { whole: number }) {
  return (
    <div class="lane scale" aria-hidden="true">
      <span />
      <div class="lane-track">{[0, 0.25, 0.5, 0.75, 1].map((share) => <i style={{ left: `${share * 100}%` }}>{share === 0 ? "0" : ns(whole * share)}</i>)}</div>
    </div>
  );
}

function Key({ parts }: { parts: Part[] }) {
  const theme = useTheme();
  return (
    <div class="key">
      {parts.map((part) => <span><i style={{ background: colour(part.colour, theme) }} />{part.name}</span>)}
      <span><i class="key-claim" />claimed by an engine of itself</span>
    </div>
  );
}

function Whole({ anatomy }: { anatomy: Anatomy }) {
  const theme = useTheme();
  const { parts, total, ttft, tokens } = anatomy;
  const share = (nanos: number) => (nanos / total) * 100;
  return (
    <figure class="lanes">
      <figcaption>
        The whole request
        {tokens !== undefined && <span class="dim"> · a tick a token, drawn at the mean gap</span>}
      </figcaption>
      <div class="lane">
        <span class="lane-name">Request</span>
        <div class="lane-track">
          {parts.map((part) => <div class="segment" title={`${part.name}: ${ns(part.nanos)}`} style={{ left: `${share(part.offset)}%`, width: `${share(part.nanos)}%`, background: colour(part.colour, theme) }} />)}
          <div class="segment after" style={{ left: `${share(ttft)}%`, width: `${Math.max(0, 100 - share(ttft))}%`, "--hue": colour(HUE.green, theme) }} />
          {ticks(anatomy).map((at) => <span class="tick" style={{ left: `${Math.min(100, share(at))}%` }} />)}
        </div>
      </div>
      <Scale whole={total} />
    </figure>
  );
}

function Parts({ anatomy }: { anatomy: Anatomy }) {
  const theme = useTheme();
  const { parts, ttft } = anatomy;
  return (
    <div class="card">
      <h2>Parts of the time to first token <span class="dim">add up to it, to the nanosecond</span></h2>
      <div class="table-scroll"><table class="data tight">
        <thead><tr><th class="left">Part</th><th>Time</th><th>Share</th><th>Until</th></tr></thead>
        <tbody>
          {parts.map((part) => (
            <tr>
              <td class="left"><i class="dot" style={{ background: colour(part.colour, theme) }} />{part.name}</td>
              <td data-part={part.key} data-nanos={part.nanos}>{ns(part.nanos)}</td>
              <td class="dim">{percent(part.nanos, ttft)}</td>
              <td class="dim">{ns(part.offset + part.nanos)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr data-adds-up={addsUp(anatomy)}>
            <td class="left">{addsUp(anatomy) ? "Sum: the TTFT" : "Sum: not the TTFT"}</td>
            <td>{ns(parts.reduce((sum, { nanos }) => sum + nanos, 0))}</td>
            <td class="dim">{percent(ttft, ttft)}</td>
            <td />
          </tr>
        </tfoot>
      </table></div>
    </div>
  );
}

function Claims({ anatomy }: { anatomy: Anatomy }) {
  const { claims, ttft } = anatomy;
  return (
    <div class="card">
      <h2>What engines claim</h2>
      {claims.length === 0 ? (
        <p class="dim">No engine sent its own span of this request.</p>
      ) : (
        <div class="table-scroll"><table class="data tight">
          <thead><tr><th class="left">Engine</th><th>TTFT claimed</th><th>of the client’s</th><th>In its queue</th></tr></thead>
          <tbody>
            {claims.map((claim) => (
              <tr>
                <td class="left" title={claim.who}>{claim.role} <span class="dim">{claim.who}</span></td>
                <td class="bad">{ns(claim.ttft)}</td>
                <td>{percent(claim.ttft, ttft)}</td>
                <td class="dim">{ns(claim.queue)}</td>
              </tr>
            ))}
          </tbody>
        </table></div>
      )}
    </div>
  );
}

function Placement({ anatomy }: { anatomy: Anatomy }) {
  return (
    <div class="card">
      <h2>Placement</h2>
      {anatomy.placement.length === 0 ? (
        <p class="dim">No span says where this request was placed.</p>
      ) : (
        <div class="table-scroll"><table class="data tight">
          <tbody>{anatomy.placement.map(([name, value]) => <tr><td class="left dim">{name}</td><td class="left">{value}</td></tr>)}</tbody>
        </table></div>
      )}
    </div>
  );
}
