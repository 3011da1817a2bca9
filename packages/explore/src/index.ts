export {
  type MakeScenario,
  replaySchedule,
  type RivalsReport,
  runRivals,
  type Scenario,
  ScheduleFailure,
} from "./rivals.ts";
