/** Something a person can put right. Its message is one sentence, fit to show on the page. */
export class Problem extends Error {}
