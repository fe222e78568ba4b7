import type { Service } from "./service";

/**
 * The services of the central database. To add one, append a literal: everything else follows from it.
 * Source of names, prefixes and tables: the operations page, "테이블 네이밍 규칙".
 */
export const services: readonly Service[] = [
  {
    name: "gatherer",
    code: "gt",
    purpose: "Collects raw data from its sources.",
    tables: ["gt_raw_data", "gt_sources"],
  },
  {
    name: "aggregator",
    code: "ag",
    purpose: "Turns gathered data into results and metrics.",
    tables: ["ag_results", "ag_metrics"],
  },
  {
    name: "scheduler",
    code: "sc",
    purpose: "Plans jobs and keeps the history of their runs.",
    tables: ["sc_jobs", "sc_history"],
  },
  {
    name: "ledger",
    code: "lg",
    purpose: "Records transactions and the balances they lead to.",
    tables: ["lg_transactions", "lg_balances"],
  },
  {
    name: "notifier",
    code: "nf",
    purpose: "Sends messages made from templates.",
    tables: ["nf_messages", "nf_templates"],
  },
  {
    name: "observer",
    code: "ob",
    purpose: "Watches the services: metrics and alerts.",
    tables: ["ob_metrics", "ob_alerts"],
  },
  {
    name: "moderator",
    code: "md",
    purpose: "Reviews contents and keeps the actions taken on them.",
    tables: ["md_contents", "md_actions"],
  },
  {
    name: "gamer",
    code: "gm",
    purpose: "Keeps the scores and the leaderboard of the community's games.",
    tables: ["gm_scores", "gm_leaderboard"],
  },
  {
    name: "prompter",
    code: "pm",
    purpose: "Keeps prompt templates and the history of their use.",
    tables: ["pm_templates", "pm_history"],
  },
  {
    name: "requester",
    code: "rq",
    purpose: "Sends requests to other systems and stores their responses.",
    tables: ["rq_requests", "rq_responses"],
  },
  {
    name: "itg",
    code: "it",
    purpose: "Integrates the services: routes and authentication.",
    tables: ["it_routes", "it_auth"],
  },
  {
    name: "allocator",
    code: "al",
    purpose: "Allocates resources and accounts for their usage.",
    tables: ["al_resources", "al_usage"],
  },
];
