// Reads {name: query} as JSON from standard input, and writes {name: {columns: {name: type}, problems: [text]}}: what
// Microsoft's own analysis of Kusto queries says. The tables are those of Application Insights, with the columns that
// the queries may read.

"use strict";

const fs = require("node:fs");

require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const TABLES =
  "let traces = datatable(timestamp:datetime, message:string, severityLevel:int, itemCount:int)[]; " +
  "let requests = datatable(timestamp:datetime, name:string, success:string, itemCount:int)[]; " +
  "let Usage = datatable(TimeGenerated:datetime, Quantity:real, IsBillable:bool)[]; ";

function list(items) {
  return items ? Array.from({ length: items.Count }, (_, index) => items.getItem(index)) : [];
}

function analyse(query) {
  const text = TABLES + query;
  const code = Kusto.Language.KustoCode.ParseAndAnalyze(text, Kusto.Language.GlobalState.Default);
  const columns = list(code.ResultType && code.ResultType.Columns);
  const problems = list(code.GetDiagnostics()).map(
    (found) => `line ${text.slice(0, found.Start).split("\n").length}: ${found.Message}`,
  );
  return { columns: Object.fromEntries(columns.map((column) => [column.Name, column.Type.Name])), problems };
}

const queries = JSON.parse(fs.readFileSync(0, "utf8"));
const answer = Object.fromEntries(Object.entries(queries).map(([name, query]) => [name, analyse(query)]));
process.stdout.write(JSON.stringify(answer));
