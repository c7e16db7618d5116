// One line under the bar: the last operation, what it cost, what is left.
import { status } from './status.js';
import { useStore } from './store.js';

function Item({ name, children }) {
  return (
    <span>
      {name} <b>{children}</b>
    </span>
  );
}

function Cost({ cost }) {
  if (cost === null) return <Item name="Cost">–</Item>;
  const { requested, actual, limit, remaining } = typeof cost === 'object' ? cost : { requested: cost };
  return (
    <>
      <Item name="Cost">
        {actual ?? requested ?? '–'}
        {actual != null && requested != null && actual !== requested && ` of ${requested} estimated`}
      </Item>
      {remaining != null && (
        <Item name="Cost budget left">
          {remaining}
          {limit != null && ` of ${limit}`}
        </Item>
      )}
    </>
  );
}

function Operation({ operation }) {
  if (!operation) return <span>Run an operation to see what it costs.</span>;
  const { name, http, ms, events, codes } = operation;
  return (
    <>
      <Item name="Last">{name}</Item>
      {http !== undefined && <Item name="HTTP">{http}</Item>}
      {ms !== undefined && <Item name="Time">{ms} ms</Item>}
      {events !== undefined && <Item name="Events">{events}</Item>}
      {codes?.length > 0 && <span className="pc-codes">{codes.join(' · ')}</span>}
    </>
  );
}

/** Cost and limits of the last answer. */
export function StatusLine() {
  const { operation, cost, limits } = useStore(status);
  return (
    <div className="pc-status" role="status">
      <Operation operation={operation} />
      <span className="pc-gap" />
      <Cost cost={cost} />
      <Item name="Requests left">
        {limits ? limits.remaining : '–'}
        {limits?.limit != null && ` of ${limits.limit}`}
      </Item>
    </div>
  );
}
