export { type RivalsPlan, rivalsPlan } from "./plan.ts";
export {
  byTurns,
  type MakeScenario,
  onlyNamed,
  replaySchedule,
  type RivalsReport,
  runRivals,
  runSchedule,
  type Scenario,
  ScheduleFailure,
} from "./rivals.ts";
