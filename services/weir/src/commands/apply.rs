//! `weir plan`, `weir apply` and `weir rollback`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::json;
use steward::{Applied, ApplyOptions, BackTest, Effect, Plan, StewardError};

use super::backbone::{Backbone, failed, named};
use super::validate::load_whole;
use crate::cli::{ApplyArgs, BreakingArgs, PlanArgs, RollbackArgs};
use crate::output::{Format, Rows};
use crate::{CliError, Global, Outcome};

/// Plans.
pub(crate) fn plan(global: &Global, args: &PlanArgs) -> Result<Outcome, CliError> {
    let loaded = load_whole(global, &global.paths(&args.paths))?;
    let backbone = Backbone::connect(global)?;
    let plan = backbone.steward().plan(&loaded.contracts).map_err(failed)?;
    show(global, &plan)?;
    if !plan.problems(false).is_empty() {
        return Ok(Outcome::Found);
    }
    Ok(if args.detailed_exitcode && plan.has_changes() { Outcome::Changes } else { Outcome::Done })
}

/// Applies.
pub(crate) fn apply(global: &Global, args: &ApplyArgs) -> Result<Outcome, CliError> {
    let loaded = load_whole(global, &global.paths(&args.paths))?;
    let backbone = Backbone::connect(global)?;
    let steward = backbone.steward();
    let plan = steward.plan(&loaded.contracts).map_err(failed)?;
    carry_out(global, &backbone, &plan, &args.breaking, args.timeout)
}

/// Rolls back.
pub(crate) fn rollback(global: &Global, args: &RollbackArgs) -> Result<Outcome, CliError> {
    let (product, major) = named(&args.product)?;
    let backbone = Backbone::connect(global)?;
    let plan = backbone.steward().plan_rollback(&product, major).map_err(failed)?;
    carry_out(global, &backbone, &plan, &args.breaking, args.timeout)
}

/// What the back-test found, as a sentence.
fn would_be_held_back(test: &BackTest) -> String {
    let rules: Vec<_> = test.rules.iter().map(|(rule, records)| format!("{rule} {records}")).collect();
    let by = if rules.is_empty() { String::new() } else { format!(": {}", rules.join(", ")) };
    format!("{} of the latest {} records would be held back{by}", test.held_back, test.of)
}

fn carry_out(
    global: &Global,
    backbone: &Backbone,
    plan: &Plan,
    breaking: &BreakingArgs,
    wait: Duration,
) -> Result<Outcome, CliError> {
    for product in &plan.products {
        for change in product.changes.iter().filter(|change| change.effect != Effect::Harmless) {
            global.out.say(&format!("{}: {}", product.product(), change.what));
        }
        if let Some(test) = &product.held_back {
            global.out.say(&format!("{}: {}", product.product(), would_be_held_back(test)));
        }
    }
    if plan.products.iter().any(steward::ProductPlan::is_destructive) && !global.yes && !confirmed(global, plan)? {
        return Err(CliError::Failed("nothing was done".to_owned()));
    }
    let out = global.out;
    let allow_breaking = breaking.reason.clone().filter(|_| breaking.allow_breaking);
    let applied =
        match backbone.steward().apply(plan, &ApplyOptions { allow_breaking, wait }, &mut |step| out.say(step)) {
            Ok(applied) => applied,
            Err(StewardError::Blocked(problems)) => {
                problems.iter().for_each(|problem| global.out.say(problem));
                return Ok(Outcome::Found);
            }
            Err(error) => return Err(failed(error)),
        };
    finish(global, plan, &applied)
}

fn finish(global: &Global, plan: &Plan, applied: &Applied) -> Result<Outcome, CliError> {
    if !plan.has_changes() {
        global.out.say("nothing to do: all is as the contracts say");
        return Ok(Outcome::Done);
    }
    if applied.pending.is_empty() {
        global.out.say(&format!("done; enforced after {:.1} s", applied.active_after.as_secs_f64()));
        return Ok(Outcome::Done);
    }
    for pending in applied.pending.iter().take(20) {
        global
            .out
            .say(&format!("no enforcer works by {} {} on {} yet", pending.product, pending.version, pending.inbox));
    }
    Err(CliError::Failed(format!(
        "applied, but {} partitions are not taken up yet: is an enforcer running? (weir serve enforcer; weir doctor)",
        applied.pending.len()
    )))
}

fn confirmed(global: &Global, plan: &Plan) -> Result<bool, CliError> {
    let steps = plan.products.iter().flat_map(|product| {
        product
            .actions
            .iter()
            .filter(|action| action.is_destructive(&product.contract))
            .map(|action| format!("  {} {action}", action.symbol()))
    });
    let steps = steps.collect::<Vec<_>>().join("\n");
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(format!("this loses or moves something, and is done only with --yes:\n{steps}")));
    }
    let asked = write!(std::io::stderr(), "This loses or moves something:\n{steps}\nGo on? [y/N] ");
    asked.and_then(|()| std::io::stderr().flush()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        global.out.say("not confirmed");
    }
    Ok(yes)
}

fn show(global: &Global, plan: &Plan) -> Result<(), CliError> {
    if global.out.format() == Format::Table {
        for product in &plan.products {
            global.out.line(&format!("{} {}", product.product(), product.contract.version))?;
            for action in &product.actions {
                global.out.line(&format!("  {} {action}", action.symbol()))?;
            }
            for change in &product.changes {
                let whom = match change.effect {
                    Effect::Harmless => "nobody is hurt",
                    Effect::Tightens => "producers",
                    Effect::Weakens => "consumers",
                };
                global.out.line(&format!("    {whom}: {}", change.what))?;
            }
            if let Some(test) = &product.held_back {
                global.out.line(&format!("    {}", would_be_held_back(test)))?;
            }
            for problem in product.problems.iter().chain(&product.breaking) {
                global.out.line(&format!("  ! {problem}"))?;
            }
            if product.actions.is_empty() && product.problems.is_empty() {
                global.out.line("  nothing to do")?;
            }
        }
        return Ok(());
    }
    let mut rows = Rows::new(&["product", "version", "actions", "changes", "held_back", "of", "by_rule", "problems"]);
    for product in &plan.products {
        let actions: Vec<_> = product.actions.iter().map(|action| format!("{} {action}", action.symbol())).collect();
        let changes: Vec<_> = product.changes.iter().map(|change| change.what.clone()).collect();
        let problems: Vec<_> = product.problems.iter().chain(&product.breaking).cloned().collect();
        rows.push([
            json!(product.product()),
            json!(product.contract.version),
            json!(actions),
            json!(changes),
            json!(product.held_back.as_ref().map(|test| test.held_back)),
            json!(product.held_back.as_ref().map(|test| test.of)),
            json!(product.held_back.as_ref().map(|test| &test.rules)),
            json!(problems),
        ]);
    }
    global.out.rows(&rows)
}
