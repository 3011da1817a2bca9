export { type RivalsPlan, rivalsPlan } from "./plan.ts";
export {
  byTurns,
  freshMachines,
  type MakeScenario,
  onlyNamed,
  replaySchedule,
  type Rivals,
  type RivalsReport,
  type Round,
  runRivals,
  type Scenario,
  ScheduleFailure,
} from "./rivals.ts";
